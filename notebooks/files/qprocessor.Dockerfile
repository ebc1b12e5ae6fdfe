# A worker as an image: Python, its two packages, one file, and a user that may do little.
FROM python:3.13-slim
RUN pip install --no-cache-dir "pika>=1.4,<2" "click>=8.2"
COPY qprocessor.py /usr/local/bin/qprocessor.py
USER nobody
ENTRYPOINT ["python3", "/usr/local/bin/qprocessor.py"]
