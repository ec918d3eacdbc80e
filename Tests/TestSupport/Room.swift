// Placed by the skeleton.
