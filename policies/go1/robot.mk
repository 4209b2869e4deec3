FAMILY_go1 := Rl-Sim-Env-AmpVae-Go1
