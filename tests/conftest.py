from hypothesis import settings

# A law is no race: the machine may be busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
