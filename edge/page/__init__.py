"""The page: a small web server that shows the camera app in a browser, see docs/camera.md."""
