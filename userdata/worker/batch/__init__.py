"""Does what messages ask for of batches: releases units, draws them, counts their cost, and sees when none is left."""
