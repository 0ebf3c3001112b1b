"""The practice account: the accounts of an incident, emulated on loopback, to contain the attacker in.

Every call is authorised by the policies that the accounts hold at that moment, the attacker tries again what they did,
and what the learner has done is graded by what the accounts then allow.
"""
