"""The panels of the page, one file each: numbers in, a finding, figures and tables out."""
