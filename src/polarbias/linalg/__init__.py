"""Linear algebra: normal equations, BLAS threads and quadrature in logarithms."""
