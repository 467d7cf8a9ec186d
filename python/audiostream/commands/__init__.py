"""The commands of `audiostream`: a file each, with its text, its options and what it does."""
