-- Tables of the public V5 line, as far as the import needs them. No SQL of V5's registries was published, so these are
-- assumptions: the names are those of its documentation, and its spaces have V2's columns with a tenant and a site.
CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE);
CREATE TABLE sites (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    name text NOT NULL,
    timezone text
);
CREATE TABLE spaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    site_id uuid NOT NULL REFERENCES sites (id),
    name varchar(100) NOT NULL,
    code varchar(20) NOT NULL,
    building varchar(100),
    floor varchar(20),
    zone varchar(50),
    gps_latitude numeric(10, 8),
    gps_longitude numeric(11, 8),
    sensor_eui varchar(16),
    display_eui varchar(16),
    state varchar(20) NOT NULL DEFAULT 'FREE',
    deleted_at timestamptz,
    UNIQUE (site_id, code)
);
INSERT INTO tenants (name) VALUES ('Example Parking'), ('Other');
INSERT INTO sites (tenant_id, name, timezone)
SELECT t.id, s.name, 'Europe/Berlin' FROM tenants AS t
CROSS JOIN (VALUES ('Example Parking', 'North'), ('Example Parking', 'South'), ('Other', 'North')) AS s (tenant, name)
WHERE t.name = s.tenant;
INSERT INTO spaces (
    tenant_id, site_id, name, code, building, floor, zone, gps_latitude, gps_longitude, sensor_eui, display_eui, state,
    deleted_at
)
SELECT i.tenant_id, i.id, 'Bay', r.code, r.building, r.floor, r.zone, r.latitude, r.longitude, r.sensor, r.display, r.state,
       CASE WHEN r.deleted THEN now() END
FROM sites AS i INNER JOIN tenants AS t ON t.id = i.tenant_id
INNER JOIN (
    VALUES ('Example Parking', 'North', 'A1', 'Main', '1', 'Z', 47.5, 7.5, '58A0CB0000000001', '2020200000000001', 'FREE',
            false),
           ('Example Parking', 'North', 'A2', 'Main', '', NULL, 47.5, NULL, '58A0CB0000000002', '2020200000000001', 'FREE',
            false),
           ('Example Parking', 'South', 'A1', NULL, NULL, NULL, NULL, NULL, 'acme-1', NULL, 'MAINTENANCE', false),
           ('Example Parking', 'South', 'A3', 'Old', '9', NULL, NULL, NULL, NULL, NULL, 'FREE', true),
           ('Other', 'North', 'A1', 'Else', '1', NULL, NULL, NULL, '58A0CB00000000FF', NULL, 'FREE', false)
) AS r (tenant, site, code, building, floor, zone, latitude, longitude, sensor, display, state, deleted)
    ON r.tenant = t.name AND r.site = i.name;
