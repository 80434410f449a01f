-- The one database a new cluster has; typed into the server while it is still offline.
CREATE DATABASE penstock;
