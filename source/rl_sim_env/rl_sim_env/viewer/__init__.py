"""Looking at robots: in a browser, or as a video."""
