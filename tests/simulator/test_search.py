import requests

from threadllm.simulator import Fault, Limits, Simulator, digest


def search(sim, **query):
    return requests.get(f"{sim.url}/search", params=query, timeout=5)


def test_search_finds_the_words():
    """A search has three results, which quote its words."""
    with Simulator() as sim:
        assert search(sim, q="red fox").json() == {
            "results": [
                {"title": f"Result {place} for {digest('red fox')}", "snippet": "red fox"}
                for place in (1, 2, 3)
            ]
        }


def test_search_without_words():
    """A search without q is a 400."""
    with Simulator() as sim:
        response = search(sim)
    assert (response.status_code, response.json()) == (
        400,
        {"error": "Missing required parameter: 'q'."},
    )


def test_searches_are_counted_apart():
    """Searching twice for the same is not buying twice."""
    with Simulator() as sim:
        search(sim, q="fox")
        search(sim, q="fox")
        counts = sim.counts()
    assert counts.by_path == {"/search": 2}
    assert (counts.answered_of("fox", "/search"), counts.answered_of("fox")) == (2, 0)
    assert counts.answered_twice == 0


def test_searches_fail_and_are_limited():
    """A search host has faults and limits too, and says when to come back."""
    with Simulator(limits=Limits(requests_per_minute=1), script=[Fault(status=503)]) as sim:
        responses = [search(sim, q="fox") for _ in range(3)]
    assert [response.status_code for response in responses] == [503, 200, 429]
    assert responses[-1].headers["retry-after"] == "60"
