-- question: Where did someone move on to: other roles, other accounts, machines?
-- why: the scope ends where the last hop does; the other account has the other half of the record
-- technique: T1550.001
-- false positives: deployment roles and break-glass access that cross accounts every day: those that the baseline has are marked usual
WITH acts AS (
    SELECT
        events.*,
        regexp_extract(minted_principal, '^arn:[^:]+:iam::(\d{12}):', 1) AS target_account,
        CASE
            WHEN event_source = 'sts.amazonaws.com' AND event_name IN ('AssumeRole', 'AssumeRoot') AND principal_type <> 'AWSService' THEN 'role assumed'
            WHEN event_source = 'signin.amazonaws.com' AND event_name = 'SwitchRole' THEN 'role switched'
            WHEN event_source = 'signin.amazonaws.com' AND event_name IN ('GetSigninToken', 'CreateOAuth2Token') THEN 'key to console'
            WHEN event_source = 'ssm.amazonaws.com' AND event_name IN ('StartSession', 'SendCommand', 'ResumeSession') THEN 'into a machine'
            WHEN event_source = 'ec2-instance-connect.amazonaws.com' AND event_name IN ('SendSSHPublicKey', 'SendSerialConsoleSSHPublicKey', 'OpenTunnel') THEN 'into a machine'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('GetPasswordData', 'EnableSerialConsoleAccess') THEN 'into a machine'
            WHEN event_source = 'sso.amazonaws.com' AND event_name = 'GetRoleCredentials' THEN 'role through SSO'
            WHEN event_source = 'ecs.amazonaws.com' AND event_name = 'ExecuteCommand' THEN 'into a container'
        END AS how
    FROM events
    WHERE outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id) AND contains(:regions, region)
),
past AS (
    SELECT DISTINCT principal, minted_principal
    FROM events
    WHERE minted_principal IS NOT NULL AND event_time >= :baseline_start AND event_time < :baseline_end
),
moves AS (
    SELECT
        acts.*,
        COALESCE(
            minted_principal, json_extract_scalar(request, '$.target'), json_extract_scalar(request, '$.instanceId'),
            json_extract_scalar(service_details, '$.role_name')
        ) AS one_target,
        -- one command goes to many machines
        filter(transform(TRY_CAST(json_extract(request, '$.instanceIds') AS ARRAY(JSON)), one -> json_extract_scalar(one, '$')), one -> one IS NOT NULL) AS machines
    FROM acts
    WHERE how IS NOT NULL
)
SELECT
    event_time, event_id, shared_event_id, account_id, region, moves.principal, access_key_id, source_ip, user_agent_family, event_name, how, there.target,
    target_account, COALESCE(target_account <> caller_account, false) AS across_accounts,
    past.principal IS NOT NULL AS usual, minted_key,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, moves.principal) THEN 'principal' END AS suspect
FROM moves
CROSS JOIN UNNEST(CASE WHEN cardinality(machines) > 0 THEN machines ELSE ARRAY[one_target] END) AS there (target)
LEFT JOIN past ON past.principal = moves.principal AND past.minted_principal = moves.minted_principal
ORDER BY event_time, event_id, there.target
