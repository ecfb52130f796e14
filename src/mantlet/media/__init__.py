"""What bytes show: probing, decoding, frames, thumbnails."""
