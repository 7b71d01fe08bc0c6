"""Limits on how many runs go on at a time, over all processes that share a home, a server or a database.

The book says who holds what and who waits (`book`, pure); a shelf keeps it (`shelf`: a file; the server's store on
PostgreSQL); a desk is where a process asks (`desk`: on this machine; `remote`: by HTTP at a server elsewhere).
"""
