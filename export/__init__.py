"""From retrained networks to ranked ONNX emulators: convert, compare, time, pick, bundle."""
