"""What a session of requests does with a request around its sending, as it is done within calls.

Each room stands in for a step of `requests.Session`, and leaves to that what is out of the
ordinary: the environment's settings, ~/.netrc, a request's preparing, its redirects, cookies.
"""
