-- question: How did the suspect get each credential, hop by hop, back to where it begins?
-- why: the chain of mint records ends at a long-term key, a sign-in, a federation or an instance: the way in
-- technique: T1550.001
-- false positives: none in the chain itself; its beginning may be missing, when the mint record lies in another account or Region
WITH mints AS (
    SELECT
        minted_key, event_time, event_id, account_id, region, event_name, principal_type, principal, access_key_id, source_ip,
        user_agent
    FROM (
        SELECT
            *,
            -- a key is minted once, though both accounts of a call record it
            row_number() OVER (PARTITION BY minted_key, account_id ORDER BY event_time, event_id, region, principal, source_ip, source_object, source_position) AS time_minted
        FROM events
        WHERE minted_key IS NOT NULL AND minted_key <> COALESCE(access_key_id, '') AND event_time BETWEEN :baseline_start AND :end
    ) AS minting
    WHERE time_minted = 1
),
known AS (
    SELECT map_agg(minted_key, minter) AS minted_by
    FROM (SELECT minted_key, min(access_key_id) AS minter FROM mints GROUP BY minted_key) AS minter_of
),
walks AS (
    -- a walk along the map reads the logs once; a recursive query would read them again for each hop
    SELECT
        k.suspect_key,
        reduce(
            repeat(ARRAY[k.suspect_key], 9), ARRAY[k.suspect_key],
            (path, turn) -> CASE
                WHEN contains(path, element_at(m.minted_by, element_at(path, -1))) THEN path
                ELSE path || ARRAY[COALESCE(element_at(m.minted_by, element_at(path, -1)), element_at(path, -1))]
            END,
            path -> path
        ) AS path
    FROM known m
    CROSS JOIN UNNEST(:keys) AS k (suspect_key)
),
hops AS (
    SELECT w.suspect_key, p.credential, min(p.hop) AS hop
    FROM walks w
    CROSS JOIN UNNEST(w.path) WITH ORDINALITY AS p (credential, hop)
    GROUP BY w.suspect_key, p.credential
),
-- where a chain ends: a key that no record minted; its first use is the earliest trace of it
first_uses AS (
    SELECT access_key_id AS credential, event_time, event_id, account_id, region, principal_type, principal, source_ip, user_agent
    FROM (
        SELECT e.*, row_number() OVER (PARTITION BY access_key_id ORDER BY event_time, event_id, account_id, region, principal, source_ip, source_object, source_position) AS use
        FROM events e
        WHERE access_key_id IN (SELECT credential FROM hops) AND event_time BETWEEN :baseline_start AND :end
    ) AS uses
    WHERE use = 1
)
SELECT
    h.suspect_key, h.hop, h.credential,
    CASE
        WHEN m.minted_key IS NOT NULL THEN m.event_name
        WHEN h.credential LIKE 'AKIA%' THEN 'long-term key, first use'
        ELSE 'no mint record, first use'
    END AS obtained_by,
    COALESCE(m.event_time, u.event_time) AS event_time, COALESCE(m.event_id, u.event_id) AS event_id,
    COALESCE(m.account_id, u.account_id) AS account_id, COALESCE(m.region, u.region) AS region,
    COALESCE(m.principal_type, u.principal_type) AS caller_type, COALESCE(m.principal, u.principal) AS caller, m.access_key_id AS caller_key,
    COALESCE(m.source_ip, u.source_ip) AS source_ip, COALESCE(m.user_agent, u.user_agent) AS user_agent
FROM hops h
LEFT JOIN mints m ON m.minted_key = h.credential
LEFT JOIN first_uses u ON u.credential = h.credential AND m.minted_key IS NULL
WHERE m.minted_key IS NOT NULL OR u.credential IS NOT NULL
ORDER BY suspect_key, hop, event_time, event_id, account_id
