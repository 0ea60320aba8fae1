"""The model: loading it, drawing with it, reading its attention. The only room that imports diffusers."""
