"""The report of one search, or of several with different subsets: figures, tables, a page.

Data flow one way: `runs` reads the folders, `tables` makes tables of what they hold, `holdout`
and `inference` measure what they do not, `figures` draws tables, and `page` shows all of it;
`build` does one after the other.
"""
