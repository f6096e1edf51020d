//! From what the dialogue says to clips and words, in Japanese and English.
