-- question: How did the suspect get each credential, hop by hop, back to where it begins?
-- why: the chain of mint records ends at a long-term key, a sign-in, a federation or an instance: the way in
-- technique: T1550.001
-- false positives: none in the chain itself; its beginning may be missing, when the mint record lies in another account or Region
WITH RECURSIVE mints AS (
    SELECT
        minted_key, event_time, event_id, account_id, region, event_name, principal_type, principal, access_key_id, source_ip,
        user_agent
    FROM (
        SELECT
            *,
            -- a key is minted once, though both accounts of a call record it
            row_number() OVER (PARTITION BY minted_key, account_id ORDER BY event_time, event_id) AS time_minted
        FROM events
        WHERE minted_key IS NOT NULL AND minted_key <> COALESCE(access_key_id, '') AND event_time BETWEEN :baseline_start AND :end
    ) AS minting
    WHERE time_minted = 1
),
chain (suspect_key, hop, credential, event_time, event_id, account_id, region, event_name, caller_type, caller, caller_key, source_ip, user_agent) AS (
    SELECT minted_key, 1, minted_key, event_time, event_id, account_id, region, event_name, principal_type, principal, access_key_id, source_ip, user_agent
    FROM mints
    WHERE contains(:keys, minted_key)
    UNION ALL
    SELECT c.suspect_key, c.hop + 1, m.minted_key, m.event_time, m.event_id, m.account_id, m.region, m.event_name, m.principal_type, m.principal, m.access_key_id, m.source_ip, m.user_agent
    FROM chain c
    JOIN mints m ON m.minted_key = c.caller_key
    WHERE c.hop < 9
),
-- where a chain ends: a key that no record minted; its first use is the earliest trace of it
beginnings AS (
    SELECT suspect_key, hop + 1 AS hop, caller_key AS credential FROM chain
    WHERE caller_key IS NOT NULL AND caller_key NOT IN (SELECT minted_key FROM mints)
    UNION
    SELECT key AS suspect_key, 1 AS hop, key AS credential
    FROM (SELECT DISTINCT access_key_id AS key FROM events WHERE contains(:keys, access_key_id) AND event_time BETWEEN :baseline_start AND :end) AS used
    WHERE key NOT IN (SELECT minted_key FROM mints)
),
first_uses AS (
    SELECT
        b.suspect_key, b.hop, b.credential, min(e.event_time) AS event_time, min_by(e.event_id, e.event_time) AS event_id,
        min_by(e.account_id, e.event_time) AS account_id, min_by(e.region, e.event_time) AS region,
        min_by(e.principal_type, e.event_time) AS caller_type, min_by(e.principal, e.event_time) AS caller,
        min_by(e.source_ip, e.event_time) AS source_ip, min_by(e.user_agent, e.event_time) AS user_agent
    FROM beginnings b
    JOIN events e ON e.access_key_id = b.credential
    WHERE e.event_time BETWEEN :baseline_start AND :end
    GROUP BY b.suspect_key, b.hop, b.credential
)
SELECT suspect_key, hop, credential, event_name AS obtained_by, event_time, event_id, account_id, region, caller_type, caller, caller_key, source_ip, user_agent
FROM chain
UNION ALL
SELECT
    suspect_key, hop, credential, CASE WHEN credential LIKE 'AKIA%' THEN 'long-term key, first use' ELSE 'no mint record, first use' END,
    event_time, event_id, account_id, region, caller_type, caller, CAST(NULL AS varchar), source_ip, user_agent
FROM first_uses
ORDER BY suspect_key, hop, event_time, event_id
