-- question: Which access keys were created, by whom, for whom?
-- why: a second key on an existing user is the commonest persistence after a key leak
-- technique: T1098.001
-- false positives: key rotation by automation
SELECT
    event_time, event_id, account_id, principal, access_key_id, source_ip, user_agent_family, outcome, error_code,
    minted_key, minted_principal, minted_principal <> principal AS for_another,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS suspect
FROM events
WHERE event_source = 'iam.amazonaws.com' AND event_name = 'CreateAccessKey' AND event_time BETWEEN :start AND :end
  AND contains(:accounts, account_id)
ORDER BY event_time, event_id
