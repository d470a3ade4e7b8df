"""All calls of the API: importing their modules declares them."""

from __future__ import annotations

from webapp.api import alerts as alerts
from webapp.api import audit as audit
from webapp.api import catalog as catalog
from webapp.api import channels as channels
from webapp.api import configs as configs
from webapp.api import diffs as diffs
from webapp.api import downloads as downloads
from webapp.api import hosts as hosts
from webapp.api import jobs as jobs
from webapp.api import openapi as openapi
from webapp.api import pins as pins
from webapp.api import points as points
from webapp.api import previews as previews
from webapp.api import reports as reports
from webapp.api import restore_folders as restore_folders
from webapp.api import restores as restores
from webapp.api import search as search
from webapp.api import stats as stats
from webapp.api import storages as storages
from webapp.api import tokens as tokens
from webapp.api import transfer as transfer
from webapp.api import trash as trash
from webapp.api import users as users
from webapp.api.door import blueprint as blueprint
