-- question: Which credentials did the suspects mint, and those in turn?
-- why: each is a way to go on after the first key is disabled; the closure of this list is what containment must cover
-- technique: T1550.001
-- false positives: a role that others use too: rows through the principal only (not the key) may be theirs
WITH RECURSIVE mints AS (
    -- AssumeRole is a read-only call: a filter on writes would lose every hop
    SELECT
        event_time, event_id, account_id, region, event_name, principal, access_key_id, source_ip, user_agent, minted_key, minted_principal
    FROM (
        SELECT
            *,
            -- a key is minted once, though both accounts of a call record it
            row_number() OVER (PARTITION BY COALESCE(minted_key, event_id), account_id ORDER BY event_time, event_id) AS time_minted
        FROM events
        WHERE (minted_key IS NOT NULL OR minted_principal IS NOT NULL) AND COALESCE(minted_key, '') <> COALESCE(access_key_id, '-')
          AND outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
    ) AS minting
    WHERE time_minted = 1
),
closure (hop, through, event_time, event_id, account_id, region, event_name, principal, access_key_id, source_ip, user_agent, minted_key, minted_principal) AS (
    SELECT
        1, CASE WHEN contains(:keys, access_key_id) THEN 'key' ELSE 'principal' END,
        event_time, event_id, account_id, region, event_name, principal, access_key_id, source_ip, user_agent, minted_key, minted_principal
    FROM mints
    WHERE contains(:keys, access_key_id) OR contains(:principals, principal)
    UNION ALL
    SELECT
        c.hop + 1, c.through, m.event_time, m.event_id, m.account_id, m.region, m.event_name, m.principal, m.access_key_id, m.source_ip, m.user_agent,
        m.minted_key, m.minted_principal
    FROM closure c
    JOIN mints m ON m.access_key_id = c.minted_key
    WHERE c.hop < 9
)
SELECT
    min(hop) AS hop, min(through) AS through, event_time, event_id, account_id, region, event_name, principal, access_key_id, minted_key, minted_principal,
    source_ip, user_agent
FROM closure
GROUP BY event_time, event_id, account_id, region, event_name, principal, access_key_id, minted_key, minted_principal, source_ip, user_agent
ORDER BY event_time, event_id, account_id
