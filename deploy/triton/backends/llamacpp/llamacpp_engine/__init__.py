"""The parts of the llama.cpp backend; only `server` needs llama.cpp and none needs Triton."""
