
‡„±	Í›vâú2"
log.record.uid
i-1-9f8e7d6c-02
game.id
g02
room.id
r2
	player.id
p2
connection.id
c2
correlation.id
corr_1JRbx±	Í›vâú2"
log.record.uid
i-1-9f8e7d6c-12
game.id
g12
room.id
r2
	player.id
p2
connection.id
c2
correlation.id
corr_1JRbx±	Í›vâú2"
log.record.uid
i-1-9f8e7d6c-22
game.id
g22
room.id
r2
	player.id
p2
connection.id
c2
correlation.id
corr_1JRbx±	Í›vâú2"
log.record.uid
i-1-9f8e7d6c-32
game.id
g32
room.id
r2
	player.id
p2
connection.id
c2
correlation.id
corr_1JRbx±	Í›vâú2"
log.record.uid
i-1-9f8e7d6c-42
game.id
g42
room.id
r2
	player.id
p2
connection.id
c2
correlation.id
corr_1JRbx