"""What happened, drawn: plain values in, an SVG and the same in words out; no file, no clock."""
