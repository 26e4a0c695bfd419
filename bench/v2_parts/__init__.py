"""Parts of the matrix of V2 databases."""
