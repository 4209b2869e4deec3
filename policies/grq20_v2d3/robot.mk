FAMILY_grq20 := Rl-Sim-Env-AmpVae-Grq20-V2d3
