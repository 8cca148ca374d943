"""Pydantic AI and LangChain, recorded: over real HTTP to a simulated model, cut on both sides, and stopped."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest
from commands import running
from example_builds import EXAMPLES
from programs import program
from wire import Stream

from tokentape.cli.relay import Relay
from tokentape.core.transcript import Transcript
from tokentape.core.events import Event

LIBRARIES = ("pydantic-ai", "langchain")
