//! Which point next? Ask/tell optimisers over typed, conditional spaces, with a journal that survives kill -9.
