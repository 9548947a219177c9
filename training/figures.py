class Figures:
    def __init__(self, *a):
        pass

    def __getattr__(self, n):
        return lambda *a, **k: None
