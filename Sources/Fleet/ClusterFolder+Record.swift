extension ClusterFolder.Record {
    /// Adds the workers that a host has started.
    mutating func add(_ report: HostReport, model: String) {
        let new = report.started.sorted { $0.key < $1.key }
            .map { AgentRequest.Known(name: $0.key, process: $0.value) }
        guard let place = hosts.firstIndex(where: { $0.name == report.host }) else {
            hosts.append(
                Host(name: report.host, command: report.command, workers: new, model: model)
            )
            return
        }
        hosts[place].command = report.command
        hosts[place].workers += new
    }

    /// Removes all workers of a host from the record, except these.
    mutating func keep(_ names: [String], of host: String) {
        guard let place = hosts.firstIndex(where: { $0.name == host }) else { return }
        hosts[place].workers.removeAll { !names.contains($0.name) }
        hosts.removeAll(where: \.workers.isEmpty)
    }

    /// Removes workers of a host from the record.
    mutating func remove(_ names: [String], of host: String) {
        guard let place = hosts.firstIndex(where: { $0.name == host }) else { return }
        hosts[place].workers.removeAll { names.contains($0.name) }
        hosts.removeAll(where: \.workers.isEmpty)
    }
}
