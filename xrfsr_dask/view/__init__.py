"""Pictures and tables: plain arrays in, figures and text out."""
