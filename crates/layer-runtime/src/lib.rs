//! Run a layer recipe, fast: a decoder on burn that builds each layer from the checkpoints as the recipe says.
