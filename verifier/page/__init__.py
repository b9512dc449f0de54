"""The web page: what a person on call, or an auditor, looks at. Served beside the query API.

`views` gathers what a page shows, `figures` says how charts look (pure), `templates` are the pages,
`static` their style and script. Nothing comes from the internet: the chart library is in a wheel.
"""
