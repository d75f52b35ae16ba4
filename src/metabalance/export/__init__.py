"""Fitted networks for programs without Python; imported where they are asked for, as ONNX is an extra."""
