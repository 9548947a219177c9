"""What can be looked at and listened to: TensorBoard logs and figures."""
