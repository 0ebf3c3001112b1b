-- question: What did the suspects, and whoever comes from their networks, still call, and what does each call show?
-- why: after containment only denied calls should be left; from a network of the attacker's another credential may go on
-- technique: T1078.004
-- false positives: rightful users whom the plan stopped try on, and are denied; a network may be an office's or a VPN's; calls in the first minute, while IAM spreads the change
-- default: networks =
SELECT
    event_time, event_id, account_id, region, principal, principal_arn, access_key_id, session_created, source_ip, source_network, user_agent_family,
    invoked_by, event_source, event_name, outcome, error_code,
    CASE
        -- a dry run ends with an error that says: it would have succeeded
        WHEN error_code LIKE '%DryRunOperation' THEN 'access'
        -- no policy forbids these: they succeed under an explicit deny
        WHEN outcome = 'ok' AND (event_name IN ('GetCallerIdentity', 'GetSessionToken') AND event_source = 'sts.amazonaws.com') THEN 'credential still alive'
        WHEN outcome = 'ok' AND event_source = 'signin.amazonaws.com' THEN 'credential still alive'
        WHEN outcome = 'ok' THEN 'access'
        WHEN outcome = 'denied' OR regexp_like(error_code, 'InvalidClientTokenId|InvalidAccessKeyId|ExpiredToken|UnrecognizedClient') THEN 'denied'
        WHEN outcome = 'throttled' THEN 'throttled'
        ELSE 'another error'
    END AS what,
    minted_key, minted_principal,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' ELSE 'network' END AS suspect
FROM events
WHERE event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
  AND (
      contains(:keys, access_key_id) OR contains(:principals, principal)
      OR contains(:addresses, source_ip) OR contains(CAST(:networks AS ARRAY(VARCHAR)), source_network)
  )
ORDER BY event_time, event_id, account_id
