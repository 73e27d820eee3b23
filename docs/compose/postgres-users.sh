# The entrypoint of PostgreSQL's image runs this once, when it makes the database.
psql --set=ON_ERROR_STOP=1 --username=postgres \
  --set=assay="$ASSAY_DATABASE_PASSWORD" --set=temporal="$TEMPORAL_DATABASE_PASSWORD" <<'SQL'
CREATE USER assay PASSWORD :'assay';
CREATE DATABASE assay OWNER assay;
CREATE USER temporal PASSWORD :'temporal';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL
