//! The mission, whole: two containers, one linked to the other; name, variables, packets; and not
//! a trace left when they are gone.

use crate::support::{Host, OPEN, Proto, SHUT, each_runtime};

each_runtime! {
    fn a_link_is_name_variables_and_packets(runtime) also youki {
        let host = Host::isolated(runtime);
        let db = host.container("db").annotate("ports", "3306").env("MYSQL_USER=shop").hooks().build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db:mysql").build();
        web.prepare().ok();
        let other = host.container("other").hooks().build();
        web.run().ok();
        other.run().ok();

        let environ = web.environ();
        let [ip, ip6] = db.addresses();
        assert!(environ.contains(&format!("MYSQL_PORT_3306_TCP_ADDR={ip}")), "{environ:?}");
        assert!(environ.contains(&"MYSQL_ENV_MYSQL_USER=shop".to_owned()), "{environ:?}");
        assert!(web.hosts().contains(&format!("{ip}\tmysql db db\n{ip6}\tmysql db db\n")), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        assert_eq!(other.reach(&db, Proto::Tcp, 3306), SHUT);

        for container in [&web, &db, &other] {
            container.kill();
            container.delete().ok();
        }
        host.assert_nothing_left();
    }
}
