"""A chain of LangChain as an iterator of text."""

import os
from collections.abc import AsyncIterator

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])


def answer(question: str) -> AsyncIterator[str]:
    # OPENAI_BASE_URL and OPENAI_API_KEY say where, as for OpenAI's own SDK.
    chain = prompt | ChatOpenAI(model=os.environ.get("MODEL", "gpt-5-mini"), max_retries=0) | StrOutputParser()
    return chain.astream({"question": question})
