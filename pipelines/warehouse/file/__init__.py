"""The warehouse file: who may write it, how it is loaded, and how it is kept small and whole."""
