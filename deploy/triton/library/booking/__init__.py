"""The engines' own books: what each request took, kept where the death of a model's process does not reach it."""
