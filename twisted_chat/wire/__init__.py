"""One module a wire: frames in, frames out, and no decision about chat."""
