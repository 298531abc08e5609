"""One module or package a wire: frames in, frames out, and no decision about chat."""
