"""Using trained models: export, enhancement and transcription of files, scores of folders."""
