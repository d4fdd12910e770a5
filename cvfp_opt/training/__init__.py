"""One training run: text, tokens and embeddings in; a frozen result out."""
